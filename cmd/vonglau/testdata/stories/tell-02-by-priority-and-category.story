# Lọc theo ưu tiên và loại: ai đăng ký gì nghe nấy.
# Told by priority and category.
wards
rules urban-flood power-lighting
device wl-1 flooded-road
device mba transformer at 106.14,20.43
subscribe dienluc "Điện lực" category Infra priority 2
subscribe csgt "Cảnh sát giao thông" category Safety priority 1,2
subscribe tatca "Trung tâm điều hành"
07:00..07:04 every 30s wl-1 water_depth=0.31 & mba voltage=0
-> csgt raised flood-road-deep wl-1
-> dienluc raised power-out mba
-> tatca raised power-out mba
-> tatca raised flood-road-deep wl-1
= flood-road-deep wl-1 unacknowledged, flood-road-wet wl-1 suppressed, power-out mba unacknowledged
