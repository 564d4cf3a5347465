# Đồng hồ thiết bị chạy sai một ngày: số đo bị từ chối, không ai bị gọi.
# A clock a day ahead is not believed.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00 wl-1 water_depth=0.90 taken +1/07:00
07:05 wl-1 water_depth=0.02
= none
