# Một xe tải đi qua làm nước bắn lên: một số đo cao rồi thôi, không ai bị gọi dậy.
# One high reading between low ones raises nothing.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng"
07:00..07:02 every 1m wl-1 water_depth=0.02
07:03 wl-1 water_depth=0.40
07:04..07:10 every 1m wl-1 water_depth=0.02
= none
