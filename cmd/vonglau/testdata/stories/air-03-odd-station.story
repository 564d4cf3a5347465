# Một trạm khác hẳn ba trạm bên cạnh nửa giờ: xem lại trạm đó trước khi tin.
# A station unlike its three neighbours for half an hour is looked at first.
wards
rules air-quality
device kk-1 air-quality at 106.120,20.434
device kk-2 air-quality at 106.125,20.434
device kk-3 air-quality at 106.130,20.434
device kk-4 air-quality at 106.125,20.440
subscribe moitruong "Sở Nông nghiệp và Môi trường" rule air-odd
06:00..06:35 every 1m kk-1 pm25=150 & kk-2 pm25=20 & kk-3 pm25=22 & kk-4 pm25=25
-> moitruong raised air-odd kk-1
= air-odd kk-1 unacknowledged
