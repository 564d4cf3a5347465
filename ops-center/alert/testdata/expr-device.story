# The device and the hour of the reading.
device a noise
device b noise simulated
rules
  - id: real
    when: {expr: {if: 'noise > 80 && !device.simulated && hour == 0 && weekday == 3'}}
end
00:00 a noise=90
> real a unacknowledged
00:10 b noise=90
