# Diễn tập trong lúc thành phố đang vận hành: đơn vị thật không nhận gì.
# A drill in a city at work: nobody real hears of it.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe xaydung "Sở Xây dựng" priority 1,2
subscribe luyentap "Ban diễn tập" priority 1,2 with-drills
06:00 drill start DT like wl-1 until 12:00 by An
07:00..07:04 every 1m DT-wl-1 water_depth=0.90 & wl-1 water_depth=0.02
-> luyentap DIỄN TẬP raised flood-road-deep DT-wl-1
= flood-road-deep DT-wl-1 unacknowledged DIỄN TẬP, flood-road-wet DT-wl-1 suppressed DIỄN TẬP
