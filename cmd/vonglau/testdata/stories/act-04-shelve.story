# Tạm gác có lý do và có hạn; hết hạn mà còn ngập thì hiện lại và báo lại.
# Shelved with a reason and for a time; when it is over the alarm is back.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
07:05 shelve flood-road-deep wl-1 by An for 30m because "Công trình đang bơm thử"
-> xaydung withdrawn flood-road-deep wl-1
= flood-road-deep wl-1 shelved, flood-road-wet wl-1 suppressed
07:06..07:40 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed
