# Giao cho Sở Xây dựng; cán bộ Sở nhận việc.
# Given to a department, whose officer accepts.
wards
rules urban-flood
device wl-1 flooded-road of "Sở Xây dựng"
subscribe xaydung "Sở Xây dựng" priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
07:05 assign flood-road-deep wl-1 to "Sở Xây dựng" by An saying "Đưa bơm tới"
= flood-road-deep wl-1 unacknowledged for Sở Xây dựng, flood-road-wet wl-1 suppressed
07:06 accept flood-road-deep wl-1 by Dũng
= flood-road-deep wl-1 unacknowledged for Sở Xây dựng accepted, flood-road-wet wl-1 suppressed
