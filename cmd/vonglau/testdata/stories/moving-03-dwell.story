# Xe đứng trong phường quá mười phút.
# A vehicle stays longer than ten minutes.
rules
  - id: dung-lau
    category: Transport
    when: {dwell: {layer: wards, codes: [W-2], for: 10m}}
end
wards
device xe bus
subscribe csgt "Cảnh sát giao thông"
06:00..06:09 every 10s xe speed=0 lon=106.20 lat=20.43
= none
06:09:10..06:11 every 10s xe speed=0 lon=106.20 lat=20.43
-> csgt raised dung-lau xe
= dung-lau xe unacknowledged
