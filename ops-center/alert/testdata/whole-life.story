# Raised, seen, over: normal. Raised, over, seen: normal. A second alarm after
# that is a new one.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 ack loud a by Lan
> loud a acknowledged
= loud a acknowledged
00:20 a noise=60
> loud a normal
= none
01:00 a noise=85
> loud a unacknowledged
01:10 a noise=60
> loud a returned
01:20 ack loud a by Minh
> loud a normal
= none
