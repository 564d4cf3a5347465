# Số đo đến lộn thứ tự: xét theo giờ đo, không theo giờ đến.
# Readings that overtake each other are judged by when they were taken.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00 wl-1 water_depth=0.31 taken 07:00
07:02 wl-1 water_depth=0.31 taken 07:02
-> xaydung raised flood-road-deep wl-1
07:02:10 wl-1 water_depth=0.02 taken 07:01
= flood-road-deep wl-1 unacknowledged
