# What an alarm hides shows with the act that takes it out of service, and is
# hidden with the one that puts it back: neither waits for the clock.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
    inhibits: {rules: [noisy]}
  - id: noisy
    when: {threshold: {quantity: noise, above: 70}}
end
00:10 a noise=85
> loud a unacknowledged 85
> noisy a suppressed 85
00:20 remove-service loud a by Hoa
> loud a out_of_service 85
> noisy a unacknowledged 85
00:30 restore loud a by Hoa
> loud a unacknowledged 85
> noisy a suppressed 85
00:31 tick
