# Giờ yên lặng 22–6: ưu tiên 2 chờ sáng và đến gộp một bản.
# Quiet hours hold what is not priority 1; it comes together in the morning.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
device wl-2 flooded-road at 106.16,20.45
subscribe xaydung "Sở Xây dựng" priority 1,2 quiet 22:00-06:00
23:00..23:04 every 1m wl-1 water_depth=0.31
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed
23:30..23:34 every 1m wl-2 water_depth=0.31
+1/05:59
+1/06:00
-> xaydung digest: raised flood-road-deep wl-1, raised flood-road-deep wl-2
+1/06:01
