# Thiết bị gửi lại cùng một số đo ba lần: chỉ tính một.
# The same reading three times counts once.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00 wl-1 water_depth=0.31 taken 07:00
07:01 wl-1 water_depth=0.31 taken 07:00
07:02 wl-1 water_depth=0.31 taken 07:00
07:03 wl-1 water_depth=0.31 taken 07:00
= none
07:03:30 wl-1 water_depth=0.31 taken 07:01
07:03:40 wl-1 water_depth=0.31 taken 07:02
-> xaydung raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged
