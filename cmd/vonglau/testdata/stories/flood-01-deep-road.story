# Đường ngập sâu: nước quá 25 cm hai phút thì Sở Xây dựng phải biết. Trực ban
# xác nhận; nước rút mười phút thì báo động hết.
# A road under more than 25 cm of water for two minutes: the department hears.
wards
rules urban-flood
device wl-1 flooded-road named "Ngã tư Trần Phú"
subscribe xaydung "Sở Xây dựng" priority 1,2
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed
07:05 acknowledge flood-road-deep wl-1 by Bình saying "Đã xem camera"
-> xaydung acknowledged flood-road-deep wl-1
= flood-road-deep wl-1 acknowledged, flood-road-wet wl-1 suppressed
07:06..07:20 every 1m wl-1 water_depth=0.04
-> xaydung cleared flood-road-deep wl-1
= none
