# Có nhận tin nhưng không ai xác nhận mười phút: chuyển tiếp.
# Received, and acknowledged by nobody for ten minutes: passed on.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe lanhdao "Lãnh đạo Sở" rule khong-co-luat-nay
subscribe xaydung "Sở Xây dựng" priority 2 escalate-to lanhdao after 10m until acknowledged
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
07:10 wait
07:13 wait
-> lanhdao passed on: raised flood-road-deep wl-1
