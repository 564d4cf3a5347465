# Mỗi phường chỉ nghe việc của mình.
# A ward hears of itself only.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
device wl-2 flooded-road at 106.22,20.43
subscribe phuong-1 "UBND phường W-1" zone wards/W-1 priority 2
subscribe phuong-2 "UBND phường W-2" zone wards/W-2 priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31 & wl-2 water_depth=0.02
-> phuong-1 raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed
07:05..07:09 every 1m wl-1 water_depth=0.31 & wl-2 water_depth=0.31
-> phuong-2 raised flood-road-deep wl-2
= flood-road-deep wl-1 unacknowledged, flood-road-deep wl-2 unacknowledged, flood-road-wet wl-1 suppressed, flood-road-wet wl-2 suppressed
