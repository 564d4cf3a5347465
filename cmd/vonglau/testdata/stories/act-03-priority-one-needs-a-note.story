# Ưu tiên 1 không xác nhận suông: phải ghi đã thấy gì, đã làm gì.
# Priority 1 is not acknowledged without a word.
wards
rules network
device nut-1 gateway at 106.12,20.43
device nut-2 gateway at 106.13,20.43
device nut-3 gateway at 106.14,20.43
00:00..00:05 every 1m nut-1 uplink_rtt=20 & nut-2 uplink_rtt=20 & nut-3 uplink_rtt=20
00:30
00:31 acknowledge network-area-down zone:wards/W-1 by Bình
! 422
00:32 acknowledge network-area-down zone:wards/W-1 by Bình saying "Cáp trục đứt, nhà mạng đang nối"
= network-area-down zone:wards/W-1 acknowledged, network-node-silent nut-1 suppressed, network-node-silent nut-2 suppressed, network-node-silent nut-3 suppressed
