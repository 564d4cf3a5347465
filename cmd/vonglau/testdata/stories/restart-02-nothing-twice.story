# Khởi động lại khi báo động đang mở: không gửi lại điều đã gửi.
# A restart repeats nothing.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
07:05 restart
07:06..07:10 every 1m wl-1 water_depth=0.31
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed
07:11 acknowledge flood-road-deep wl-1 by Bình saying "Đã rào đường"
-> xaydung acknowledged flood-road-deep wl-1
07:12 restart
07:12..07:25 every 1m wl-1 water_depth=0.02
-> xaydung cleared flood-road-deep wl-1
= none
