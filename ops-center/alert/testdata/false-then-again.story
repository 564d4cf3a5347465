# What is said of an alarm that is over leaves the next one alone.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 ack loud a by Lan
> loud a acknowledged
00:20 a noise=50
> loud a normal
02:00 a noise=85
> loud a unacknowledged
= loud a unacknowledged
