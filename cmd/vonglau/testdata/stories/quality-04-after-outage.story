# Mạng mất mười phút, thiết bị gửi bù đúng giờ đo: báo động ghi đúng giờ ngập.
# What a device kept while it was cut off is judged by its own time.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00 wl-1 water_depth=0.02
07:12 wl-1 water_depth=0.31 taken 07:05
07:12:01 wl-1 water_depth=0.31 taken 07:06
07:12:02 wl-1 water_depth=0.31 taken 07:07
-> xaydung raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged
