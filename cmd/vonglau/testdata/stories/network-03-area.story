# Ba nút cùng phường mất trong mười phút là một nguyên nhân chung, ưu tiên 1.
# Three gateways of a ward within ten minutes have one cause.
wards
rules network
device nut-1 gateway at 106.12,20.43
device nut-2 gateway at 106.13,20.43
device nut-3 gateway at 106.14,20.43
subscribe truongca "Trung tâm Chuyển đổi số" priority 1
00:00..00:05 every 1m nut-1 uplink_rtt=20
00:05 nut-2 uplink_rtt=20
00:05 nut-3 uplink_rtt=20
00:30
-> truongca raised network-area-down zone:wards/W-1
= network-area-down zone:wards/W-1 unacknowledged, network-node-silent nut-1 suppressed, network-node-silent nut-2 suppressed, network-node-silent nut-3 suppressed
= groups 1
