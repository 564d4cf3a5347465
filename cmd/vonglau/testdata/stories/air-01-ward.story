# Không khí xấu trong phường: trung bình giờ của ít nhất hai trạm quá 80 µg/m³.
# Bad air in a ward is the hourly mean of two stations or more.
wards
rules air-quality
device kk-1 air-quality at 106.12,20.43
device kk-2 air-quality at 106.14,20.43
subscribe yte "Sở Y tế" category Health
06:00..07:05 every 5m kk-1 pm25=95 & kk-2 pm25=40
= none
07:10..08:10 every 5m kk-1 pm25=100 & kk-2 pm25=110
-> yte raised air-ward zone:wards/W-1
= air-ward zone:wards/W-1 unacknowledged
