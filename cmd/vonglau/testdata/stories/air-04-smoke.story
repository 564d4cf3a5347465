# Bụi tăng nhanh khi trời khô là khói đốt.
# Dust that rises fast in dry air is smoke.
wards
rules air-quality
device kk-1 air-quality
subscribe pccc "Cảnh sát PCCC" category Fire
15:00..15:20 every 1m kk-1 pm25=30 humidity=55
15:21..15:35 every 1m kk-1 pm25=60..120 humidity=55
-> pccc raised air-smoke kk-1
= air-smoke kk-1 unacknowledged
