# Diễn tập và ngập thật cùng lúc, cùng chỗ: hai báo động, không lẫn.
# A real flood during a drill.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe xaydung "Sở Xây dựng" priority 1,2
06:00 drill start DT like wl-1 until 12:00 by An
07:00..07:04 every 1m DT-wl-1 water_depth=0.90 & wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
= flood-road-deep DT-wl-1 unacknowledged DIỄN TẬP, flood-road-deep wl-1 unacknowledged, flood-road-wet DT-wl-1 suppressed DIỄN TẬP, flood-road-wet wl-1 suppressed
07:05 draft W from flood-road-deep DT-wl-1 and flood-road-deep wl-1 by Bình
! 422
