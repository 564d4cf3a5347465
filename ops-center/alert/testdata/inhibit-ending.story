# What its device says is over, and only waits out its delay, is not told of again
# when its cause ends first.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80, for: 30s, clear_for: 1m}}
  - id: works
    inhibits: {rules: [loud], layer: wards}
    when: {aggregate: {of: count, quantity: noise, layer: wards, window: 5m, where: {above: 80}, above: 1}}
end
00:00 a noise=85 in wards/w-1
> works zone:wards/w-1 unacknowledged
00:30 a noise=85 in wards/w-1
> loud a suppressed
01:00 a noise=50 in wards/w-1
> works zone:wards/w-1 returned
01:01 tick
01:30 a noise=50 in wards/w-1
01:31 tick
= works zone:wards/w-1 returned, loud a suppressed covered-by works group rule:works@wards/w-1
02:00 a noise=50 in wards/w-1
> loud a suppressed
02:01 tick
> loud a normal
