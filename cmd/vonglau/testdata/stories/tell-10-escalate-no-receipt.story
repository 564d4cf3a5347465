# Năm phút không có phản hồi thì chuyển cho lãnh đạo.
# Without a receipt in five minutes the next is told.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe lanhdao "Lãnh đạo Sở" rule khong-co-luat-nay
subscribe xaydung "Sở Xây dựng" priority 2 escalate-to lanhdao after 5m
receiver xaydung down
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 wait
07:10 wait
-> lanhdao passed on: raised flood-road-deep wl-1
