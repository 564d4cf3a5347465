# Cả phường diễn ra công trình: kế hoạch theo phường.
# A plan for a whole ward.
wards
rules urban-flood
device wl-1 flooded-road
device wl-2 flooded-road at 106.22,20.44
subscribe xaydung "Sở Xây dựng" priority 2
06:55 maintenance wards/W-1 until 08:00 because "Thông cống phường W-1" by An
07:00..07:04 every 1m wl-1 water_depth=0.31 & wl-2 water_depth=0.31
-> xaydung raised flood-road-deep wl-2
= flood-road-deep wl-1 suppressed, flood-road-deep wl-2 unacknowledged, flood-road-wet wl-1 suppressed, flood-road-wet wl-2 suppressed
07:05 maintenance-over by An
07:06 wait
-> xaydung raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged, flood-road-deep wl-2 unacknowledged, flood-road-wet wl-1 suppressed, flood-road-wet wl-2 suppressed
