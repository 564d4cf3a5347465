# Cũng tăng nhanh như vậy nhưng trời ẩm 95 % là sương mù: không báo cháy.
# The same rise in fog is no fire.
wards
rules air-quality
device kk-1 air-quality
subscribe pccc "Cảnh sát PCCC" category Fire
15:00..15:20 every 1m kk-1 pm25=30 humidity=95
15:21..15:35 every 1m kk-1 pm25=60..120 humidity=95
= none
