# A device under maintenance, or not yet approved, raises nothing.
device a noise
device q noise state=quarantined
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
  - id: silent
    when: {silence: {after: 5m}}
end
00:00 a noise=50
00:00 q noise=95
00:10 state a maintenance
00:20 a noise=95
06:00 tick
06:10 state a active
06:11 a noise=96
> loud a unacknowledged
