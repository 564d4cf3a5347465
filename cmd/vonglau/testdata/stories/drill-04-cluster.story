# Một điểm diễn tập không góp vào khu phố ngập thật.
# An exercise device does not make the third of three flooded points.
wards
rules urban-flood
device wl-1 flooded-road at 106.120,20.434
device wl-2 flooded-road at 106.122,20.434
subscribe chihuy "Ban chỉ huy phòng thủ dân sự" priority 1
06:00 drill start DT like wl-1,wl-2 until 12:00 by An
07:00 wl-1 water_depth=0.18
07:01 wl-2 water_depth=0.18
07:02 DT-wl-1 water_depth=0.18
07:03 DT-wl-2 water_depth=0.18
= none
