# Ngập 40 m là cảm biến hỏng.
# Forty metres of water are no flood.
wards
rules urban-flood
device wl-1 flooded-road
subscribe xaydung "Sở Xây dựng" priority 2
07:00..07:04 every 1m wl-1 water_depth=40
! 422
= none
