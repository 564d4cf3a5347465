# Xe buýt ra khỏi địa bàn.
# A bus leaves the area.
rules
  - id: ra-khoi-vung
    priority: 3
    owner: Trung tâm vận tải
    category: Transport
    when: {leave: {layer: wards}}
end
wards
device xe bus
subscribe vantai "Trung tâm vận tải"
06:00 xe speed=30 lon=106.12 lat=20.43
06:01 xe speed=30 lon=106.20 lat=20.43
= none
06:02 xe speed=30 lon=106.50 lat=20.43
-> vantai raised ra-khoi-vung xe
= ra-khoi-vung xe unacknowledged
06:05 xe speed=30 lon=106.20 lat=20.43
-> vantai cleared ra-khoi-vung xe
= ra-khoi-vung xe returned
