# Theo đơn vị chịu trách nhiệm và theo đại lượng.
# Told by who answers for the rule and by quantity.
wards
rules urban-flood power-lighting
device wl-1 flooded-road
device mba transformer at 106.14,20.43
subscribe xaydung "Sở Xây dựng" owner "Sở Xây dựng"
subscribe kythuat "Tổ kỹ thuật" quantity voltage,oil_temperature
07:00..07:04 every 30s wl-1 water_depth=0.31 & mba voltage=0
-> kythuat raised power-out mba
-> xaydung raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed, power-out mba unacknowledged
