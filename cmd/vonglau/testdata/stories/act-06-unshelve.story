# Bỏ gác sớm.
# Brought back before its time.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
07:05 shelve flood-road-deep wl-1 by An for 1h because "Chờ xác minh"
-> xaydung withdrawn flood-road-deep wl-1
07:10 unshelve flood-road-deep wl-1 by An because "Đã xác minh, ngập thật"
-> xaydung raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed
