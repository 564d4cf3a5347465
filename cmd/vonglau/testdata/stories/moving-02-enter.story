# Xe tải vào phường cấm.
# A vehicle enters a ward it must not be in.
rules
  - id: vao-vung-cam
    category: Transport
    when: {enter: {layer: wards, codes: [W-2]}}
end
wards
device xe bus
subscribe csgt "Cảnh sát giao thông" category Transport
06:00 xe speed=30 lon=106.12 lat=20.43
= none
06:01 xe speed=30 lon=106.20 lat=20.43
-> csgt raised vao-vung-cam xe
= vao-vung-cam xe unacknowledged
