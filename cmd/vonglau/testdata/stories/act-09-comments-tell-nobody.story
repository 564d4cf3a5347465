# Bình luận, nhận việc, giao việc là chuyện trong ca: đơn vị bên ngoài không bị nhắn.
# What is said within the shift is sent to nobody.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31
-> xaydung raised flood-road-deep wl-1
07:05 comment flood-road-deep wl-1 by Bình saying "Camera mờ"
07:06 claim flood-road-deep wl-1 by Bình
07:06:30 release flood-road-deep wl-1 by Bình
07:07 assign flood-road-deep wl-1 to "Sở Xây dựng" by An
= flood-road-deep wl-1 unacknowledged for Sở Xây dựng, flood-road-wet wl-1 suppressed
