# Nơi nhận chết năm phút: đủ, đúng thứ tự, mỗi tin một lần; nơi khác không phải chờ.
# A receiver that is down gets everything later, in order, once; others do not wait.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe xaydung "Sở Xây dựng" priority 2
subscribe csgt "Cảnh sát giao thông" priority 2
receiver xaydung down
07:00..07:04 every 1m wl-1 water_depth=0.31
-> csgt raised flood-road-deep wl-1
07:05 acknowledge flood-road-deep wl-1 by Bình saying "Đã xem"
-> csgt acknowledged flood-road-deep wl-1
receiver xaydung up
07:20
-> xaydung raised flood-road-deep wl-1
-> xaydung acknowledged flood-road-deep wl-1
