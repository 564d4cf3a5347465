# Ưu tiên 1 không chờ giờ yên lặng.
# Priority 1 does not wait.
wards
rules urban-flood
device wl-1 flooded-road at 106.120,20.434
device wl-2 flooded-road at 106.122,20.434
device wl-3 flooded-road at 106.124,20.434
subscribe xaydung "Sở Xây dựng" quiet 22:00-06:00 priority 1
23:00 wl-1 water_depth=0.16 
23:01 wl-2 water_depth=0.17
23:02 wl-3 water_depth=0.18
-> xaydung raised flood-quarter cluster:wl-1
= flood-quarter cluster:wl-1 unacknowledged
