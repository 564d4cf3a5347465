# Xác nhận kịp thì không ai bị làm phiền thêm.
# Acknowledged in time: nobody else is told.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe lanhdao "Lãnh đạo Sở" rule khong-co-luat-nay
subscribe xaydung "Sở Xây dựng" priority 2 escalate-to lanhdao after 10m until acknowledged
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
07:08 acknowledge flood-road-deep wl-1 by Bình saying "Đã rào"
-> xaydung acknowledged flood-road-deep wl-1
07:30 wait
= flood-road-deep wl-1 acknowledged, flood-road-wet wl-1 suppressed
