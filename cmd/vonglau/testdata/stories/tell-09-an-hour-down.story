# Nơi nhận chết một giờ trong lúc báo động đến rồi hết: sau đó nhận đủ, đúng thứ tự.
# Down for an hour, with a restart in it: everything once and in order.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
device wl-2 flooded-road at 106.16,20.45
subscribe xaydung "Sở Xây dựng" priority 2
receiver xaydung down
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 acknowledge flood-road-deep wl-1 by Bình saying "Đã xem"
07:06..07:20 every 1m wl-1 water_depth=0.02
07:30 restart
07:40..07:44 every 1m wl-2 water_depth=0.31
08:00
receiver xaydung up
08:06
-> xaydung raised flood-road-deep wl-1
-> xaydung acknowledged flood-road-deep wl-1
-> xaydung cleared flood-road-deep wl-1
-> xaydung raised flood-road-deep wl-2
08:10
