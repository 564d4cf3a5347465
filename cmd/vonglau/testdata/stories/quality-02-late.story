# Số đo cũ đến muộn không làm báo động cũ kêu lại.
# What comes late fires nothing old.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00..07:20 every 1m wl-1 water_depth=0.05
07:21 wl-1 water_depth=0.40 taken 07:05
07:21:10 wl-1 water_depth=0.40 taken 07:07
07:21:20 wl-1 water_depth=0.40 taken 07:09
= none
