# Đưa ra khỏi vận hành để sửa, rồi trả lại.
# Out of service for repair, and back. What the alarm hid shows with the act.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
07:05 out-of-service flood-road-deep wl-1 by An because "Thay cảm biến"
-> xaydung withdrawn flood-road-deep wl-1
= flood-road-deep wl-1 out_of_service, flood-road-wet wl-1 unacknowledged
07:06..07:10 every 1m wl-1 water_depth=0.35
07:11 return-to-service flood-road-deep wl-1 by An
-> xaydung raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed
