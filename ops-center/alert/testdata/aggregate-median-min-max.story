# Median, lowest and highest of the same readings.
device a air-quality
device b air-quality
device c air-quality
rules
  - id: high
    when: {aggregate: {of: max, quantity: pm25, layer: wards, window: 5m, devices: 3, above: 300}}
  - id: low
    when: {aggregate: {of: min, quantity: pm25, layer: wards, window: 5m, devices: 3, below: 10}}
  - id: middle
    when: {aggregate: {of: median, quantity: pm25, layer: wards, window: 5m, devices: 3, coverage: 0, above: 40}}
  - id: sum
    when: {aggregate: {of: sum, quantity: pm25, layer: wards, window: 5m, devices: 3, above: 349}}
end
00:00 a pm25=5 in wards/w-1
00:00 b pm25=300 in wards/w-1
00:10 c pm25=45 in wards/w-1
> high zone:wards/w-1 unacknowledged 300
> low zone:wards/w-1 unacknowledged 5
> middle zone:wards/w-1 unacknowledged 45
> sum zone:wards/w-1 unacknowledged 350
