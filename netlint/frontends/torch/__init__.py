"""Live `nn.Module`s, `ExportedProgram`s and `torch.fx` graphs -> `Graph`. Only this part of netlint imports torch."""
