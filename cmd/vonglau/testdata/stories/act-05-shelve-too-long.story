# Ưu tiên 2 gác tối đa hai giờ. Trực ban gác được hay không là theo vai trò.
# Priority 2 is shelved for two hours at most, and only with a reason.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
07:05 shelve flood-road-deep wl-1 by An for 9h because "Để mai"
! 422
07:06 shelve flood-road-deep wl-1 by An for 30m
! 422
07:07 shelve flood-road-deep wl-1 by Em for 30m because "Ồn quá"
! 403
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed
