# Máy chủ khởi động lại giữa chừng: hai phút chờ không tính lại từ đầu.
# A restart in the middle of the wait does not begin it anew.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00 wl-1 water_depth=0.31
07:01 wl-1 water_depth=0.31
07:01:30 restart
07:02 wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged
