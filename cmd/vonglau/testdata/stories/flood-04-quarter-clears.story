# Khu phố ngập chỉ hết khi không còn đủ ba điểm ngập.
# The quarter is over when fewer than three of its points are flooded.
wards
rules urban-flood
device wl-1 flooded-road at 106.120,20.434
device wl-2 flooded-road at 106.122,20.434
device wl-3 flooded-road at 106.124,20.434
subscribe chihuy "Ban chỉ huy phòng thủ dân sự" rule flood-quarter
07:00 wl-1 water_depth=0.16
07:01 wl-2 water_depth=0.17
07:02 wl-3 water_depth=0.18
-> chihuy raised flood-quarter cluster:wl-1
07:05 acknowledge flood-quarter cluster:wl-1 by An saying "Đã báo chỉ huy"
-> chihuy acknowledged flood-quarter cluster:wl-1
07:08 wl-1 water_depth=0.05
-> chihuy cleared flood-quarter cluster:wl-1
07:09 wl-2 water_depth=0.05
07:10 wl-3 water_depth=0.05
07:25 wl-1 water_depth=0.05
= none
