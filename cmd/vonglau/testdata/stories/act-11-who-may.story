# Lãnh đạo xem được nhưng không xác nhận thay trực ban.
# Who only looks does not act.
wards
rules urban-flood
device wl-1 flooded-road
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 acknowledge flood-road-deep wl-1 by Em saying "Tôi thấy rồi"
! 403
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed
