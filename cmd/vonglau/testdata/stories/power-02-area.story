# Ba trạm cùng phường mất điện trong năm phút: mất điện diện rộng.
# Three transformers of a ward: an area without power.
wards
rules power-lighting
device mba-1 transformer at 106.12,20.43
device mba-2 transformer at 106.13,20.43
device mba-3 transformer at 106.14,20.43
subscribe chihuy "Ban chỉ huy phòng thủ dân sự" priority 1
18:00..18:01 every 10s mba-1 voltage=0
18:01:10..18:02 every 10s mba-2 voltage=0
18:02:10..18:03 every 10s mba-3 voltage=0
-> chihuy raised power-area-out zone:wards/W-1
= power-area-out zone:wards/W-1 unacknowledged, power-out mba-1 suppressed, power-out mba-2 suppressed, power-out mba-3 suppressed
