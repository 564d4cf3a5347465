# Ba điểm ngập trong 500 m trong mười phút là một khu phố ngập, ưu tiên 1.
# Three flooded points within 500 m of each other make a quarter under water.
wards
rules urban-flood
device wl-1 flooded-road at 106.120,20.434
device wl-2 flooded-road at 106.122,20.434
device wl-3 flooded-road at 106.124,20.434
device xa flooded-road at 106.160,20.434
subscribe chihuy "Ban chỉ huy phòng thủ dân sự" priority 1
07:00 wl-1 water_depth=0.16
07:02 wl-2 water_depth=0.17
07:03 xa water_depth=0.18
= none
07:04 wl-3 water_depth=0.18
-> chihuy raised flood-quarter cluster:wl-1
= flood-quarter cluster:wl-1 unacknowledged
