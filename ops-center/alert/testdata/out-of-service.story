# Taken out of service it asks nobody, whatever the readings say, until somebody
# takes it back.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 remove-service loud a by Hoa blind
> refused reason_missing
00:11 remove-service loud a by Hoa
> loud a out_of_service
01:30 a noise=50
> loud a out_of_service
03:00 a noise=85
> loud a out_of_service
03:10 restart
03:11 restore loud a by Hoa
> loud a unacknowledged
