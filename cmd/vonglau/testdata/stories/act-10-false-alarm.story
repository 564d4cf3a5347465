# Đến nơi không có gì: ghi là báo động giả.
# There was nothing.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
07:05 acknowledge flood-road-deep wl-1 by Bình false-alarm saying "Rác phủ cảm biến"
-> xaydung acknowledged flood-road-deep wl-1
= flood-road-deep wl-1 acknowledged, flood-road-wet wl-1 suppressed
