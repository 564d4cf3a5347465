# The second of two is shown what the first did; an alarm that is gone is gone.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 ack loud a by Lan
> loud a acknowledged
00:11 ack loud a by Minh
> conflict Lan
00:20 a noise=60
> loud a normal
00:21 ack loud a by Minh
> no alarm
