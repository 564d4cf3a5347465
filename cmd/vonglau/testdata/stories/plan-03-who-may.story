# Trực ban không tự đặt kế hoạch bảo trì.
# A plan is for those who lead.
wards
rules urban-flood
device wl-1 flooded-road
06:55 maintenance wl-1 until 08:00 because "Cho yên" by Em
! 403
07:00..07:04 every 1m wl-1 water_depth=0.31
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed
